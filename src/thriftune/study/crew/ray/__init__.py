"""Makes a study's runs on a Ray cluster; nothing of Ray is imported before one is asked for."""
