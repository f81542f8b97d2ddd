"""How the embedded miniature is made: pictures drawn by this project, models trained on them, and what the models are worth."""
