"""RDS Copilot's scripts, one subject a file."""
