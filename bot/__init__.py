"""das-bot: Alibaba Cloud's database agents in Slack threads."""

__version__ = "0.1.0"
