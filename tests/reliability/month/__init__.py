"""A month of work with dgaal on a virtual clock, with faults, against a plain model of the labels.

``file_calls.c`` makes calls on files fail and moves the clock, ``forks`` runs commands, ``model``
says what the labels must be, ``reader`` reads a store without dgaal, ``families`` holds the
commands, ``faults`` what happens to them, ``sentences`` which refusals are true, ``simulation`` one
month, and ``broken`` faulty variants of dgaal that must be caught.
"""
