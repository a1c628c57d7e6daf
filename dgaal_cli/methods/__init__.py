"""Methods that choose the next images to label.

A method that has networks of its own is a folder, one without is a file; ``registry`` names them
all. Methods do not import each other. Shared code is in ``vaal_family`` (VAAL and its successors),
``adversarial_encoder`` (DGAAL's encoder and its games), and files that define no method.
"""
