"""What git runs: one line that calls one script, which starts a sync in the background and returns.

The line stands in git's configuration, in a hook file of ours, or where a user put it; it never changes. The script
lies in the repository's common git directory, so that an upgrade replaces one file and an uninstall leaves lines that
do nothing. Neither starts Python while git waits.
"""

import shlex
import sys
from pathlib import Path

EVENTS = ("post-commit", "post-merge", "post-checkout", "post-rewrite")
"""What changes a working tree through git. `reset --hard` and `stash` fire no hook: every question compares anyway."""
MARKER = "# codemem:hook v1"
SCRIPT = "codemem/hook"
"""Of the script, below the common git directory; a line that names it is ours."""

# Hooks run at the top of the working tree. Git is asked only in a linked worktree: starting it takes milliseconds.
_FIND = f'h=.git/{SCRIPT}; [ -f "$h" ] || h="$(git rev-parse --git-common-dir 2>/dev/null)/{SCRIPT}"'
_CALL = f'{_FIND}; [ ! -f "$h" ] || . "$h"'
CONFIG_COMMAND = _CALL
"""For `hook.<name>.command`: git appends the hook's arguments."""
LINE = f'( {_CALL} "$@" ) || :'
"""For a hook file: in a subshell, so that nothing after it is touched, and never a failure."""
HOOK_FILE = f"#!/bin/sh\n{MARKER}: `codemem hook uninstall` removes this file.\n{LINE}\n"

_SCRIPT = r"""@MARKER@: written by `codemem hook install`, removed by `codemem hook uninstall`.
# Git calls this after a commit, merge, checkout or rewrite. It marks the memory as out of date and starts one sync in
# the background, unless one is on its way: that one sees the mark. It prints nothing and cannot fail.
(
    git_dir=${GIT_DIR:-.git}
    [ -d "$git_dir" ] || git_dir=$(git rev-parse --git-dir) || exit 0
    # Each commit that a rebase replays fires post-commit; post-rewrite comes once, at the end. (The pre-commit tool
    # hands git's argument on in a variable.)
    if [ "${1-${PRE_COMMIT_REWRITE_COMMAND-}}" != rebase ]; then
        if [ -d "$git_dir/rebase-merge" ] || [ -d "$git_dir/rebase-apply" ]; then exit 0; fi
    fi
    # post-checkout of single files (`git restore`): an edit like any other.
    if [ "${3-${PRE_COMMIT_CHECKOUT_TYPE-1}}" = 0 ]; then exit 0; fi
    common=$git_dir place=main
    if [ -f "$git_dir/commondir" ]; then
        read -r common <"$git_dir/commondir" || exit 0
        case $common in /*) ;; *) common=$git_dir/$common ;; esac
        place=worktree-${git_dir##*/}
    fi
    place=$common/codemem/$place
    [ -f "$place/manifest" ] || exit 0
    : >"$place/sync.dirty" || exit 0
    if [ -f "$place/sync.pid" ] && read -r pid <"$place/sync.pid" && kill -0 "$pid"; then exit 0; fi
    # -P: nothing of the repository may be imported.
    if [ -x @PYTHON@ ]; then
        set -- @PYTHON@ -P -m codemem
    elif codemem=$(command -v codemem); then
        set -- "$codemem"
    else
        exit 0
    fi
    nice -n 10 nohup "$@" hook run &
    echo "$!" >"$place/sync.pid"
) </dev/null >/dev/null 2>&1
exit 0
"""


def script_text(python: Path | None = None) -> str:
    """The script, for the interpreter that codemem is installed in; by default the one that runs now."""
    interpreter = shlex.quote(str(python or Path(sys.executable)))
    return _SCRIPT.replace("@MARKER@", MARKER).replace("@PYTHON@", interpreter)
