"""Questions with short answers, made from packages that no training reads, and who answers them how well."""
