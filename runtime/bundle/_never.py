"""What is in no bundle, whatever .gitignore says: histories, secrets, keys, and what tools make."""

import os
import re
from fnmatch import translate

FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", ".jj"),
        *(".ssh", ".gnupg", ".aws", ".azure", ".gcloud", ".kube", ".docker"),
        *(".trouper", ".trouper-bundle", "__pycache__"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"),
    }
)

FILES = (
    *(".git", ".env", ".env.*", "*.env", ".envrc"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.p8", "*.jks", "*.keystore", "*.kdbx", "*.ppk"),
    *("*.gpg", "*.asc", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *(".netrc", "_netrc", ".pgpass", ".pypirc", ".npmrc", ".htpasswd", ".git-credentials"),
    *("credentials", "credentials.json", "client_secret*.json", "service-account*.json"),
    *("*.pyc", "*.pyo"),
)
"""Patterns of names, in small letters. `.git` is a file in a worktree or submodule."""


_FILE = re.compile("|".join(map(translate, FILES)))


def is_never_file(name: str) -> bool:
    return _FILE.match(name.lower()) is not None


def is_never_folder(path: str) -> bool:
    """Tell so of a folder by its name, or because it is a virtual environment."""
    name = os.path.basename(path).lower()
    return name in FOLDERS or os.path.isfile(os.path.join(path, "pyvenv.cfg"))
