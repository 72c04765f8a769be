"""What lies beside stored models: a baseline's labels, what a refit was trained on."""
