"""What is known of augmentation steps by their names, without PyTorch."""

POOL_OF_STEP = {"background": "bg", "speech": "speech", "impulse_response": "ir"}  # step -> its sounds
IMAGE_STEPS = ("cutout", "frequency_mask", "time_mask")  # steps that act on log-mel images, not on sound
