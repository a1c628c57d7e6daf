"""How the next images to label are chosen.

A method that has networks of its own is a folder, one without is a file; ``registry`` names them
all. Methods do not import each other. What several share lies beside them: ``vaal_family`` (VAAL
and its successors), ``adversarial_encoder`` (DGAAL's encoder and its games), and files that define
no method.
"""
