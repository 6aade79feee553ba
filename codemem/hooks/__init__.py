"""Git hooks that keep a memory current: installing them, and what they start in the background."""

from codemem.hooks.install import Hook, HookStatus, hook_status, install_hooks, uninstall_hooks
from codemem.hooks.script import EVENTS

__all__ = ["EVENTS", "Hook", "HookStatus", "hook_status", "install_hooks", "uninstall_hooks"]
