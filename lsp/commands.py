"""The commands by name."""

ASK = "codemem.ask"
ASK_SELECTION = "codemem.askSelection"
FIND = "codemem.find"
EXPLAIN = "codemem.explain"
RELATED = "codemem.related"
REINDEX = "codemem.reindex"
STATUS = "codemem.status"
COMMANDS = (ASK, ASK_SELECTION, FIND, EXPLAIN, RELATED, REINDEX, STATUS)
