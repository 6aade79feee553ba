"""Training data from packages: downloaded, read (never run), turned into questions with their documents."""
