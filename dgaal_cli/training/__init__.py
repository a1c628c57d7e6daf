"""Training: phases of steps; an interrupted training resumes to the same bits.

- Loop: ``runner`` takes the steps of each ``phase``; ``checkpoint`` (torch-free part:
  ``checkpoint_folder``) and ``identity`` resume it; ``clock`` and ``budget`` keep the time budget;
  ``watch`` and ``memory`` report failures; ``stability`` ends a game early.
- Hardware: ``runtime`` (processes), ``device``, ``precision``, ``compiling``.
- Input of a step: ``data``, ``seeding`` (all randomness), ``augmentation``, ``distortion``.
- Task model T: ``classifier``, ``fixmatch`` and ``linear``. Training of one method is in its folder
  under ``methods``. All share ``modes`` and ``optimizers``.
"""
