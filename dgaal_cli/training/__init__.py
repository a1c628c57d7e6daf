"""Training: phases of steps, and what runs them to the same end whatever happens in between.

- How a round runs: ``runner`` takes the steps of its ``phase``s, ``checkpoint`` (its torch-free
  part is ``checkpoint_folder``) and ``identity`` let it go on, ``clock`` and ``budget`` keep it in
  time, ``watch``, ``finite`` and ``memory`` say what went wrong, ``stability`` ends a game early.
- What it runs on: ``runtime`` (processes), ``device``, ``precision``, ``compiling``, ``shares``.
- What a step sees: ``data``, ``seeding`` (all randomness), ``augmentation``, ``distortion``.
- What is learned: ``classifier``, ``pool_lessons`` and ``linear`` (T); what only some methods learn
  lies in their folders under ``methods``. All share ``losses``, ``modes`` and ``optimizers``.
"""
