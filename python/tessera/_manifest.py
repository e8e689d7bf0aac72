"""Finds a library's files and checks that they belong together."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing

from tessera.errors import LibraryError

# What this package reads; later ones add keys.
MANIFEST_VERSION = 2


class Files(typing.NamedTuple):
    manifest: dict[str, typing.Any]
    shared_object: pathlib.Path
    digest: str
    name: str  # "ops" of libops.so


def read(folder: pathlib.Path) -> Files:
    """The library in `folder`. LibraryError where there is none, or not the one of the manifest:
    calling it by a wrong manifest would corrupt memory."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise LibraryError(
            f"{folder} holds no manifest.json; name the folder that `tessera build --out` wrote"
        ) from None
    except ValueError as error:
        raise LibraryError(f"{path} is no JSON: {error}; build the library again") from None
    version = manifest.get("manifest_version") if isinstance(manifest, dict) else None
    if version != MANIFEST_VERSION:
        raise LibraryError(
            f"{path} has manifest_version {version}, this package reads {MANIFEST_VERSION}; take "
            "package and library from one checkout"
        )
    candidates = sorted(folder.glob("lib*.so"))
    for candidate in candidates:
        digest = hashlib.sha256(candidate.read_bytes()).hexdigest()
        if digest == manifest["library_sha256"]:
            return Files(manifest, candidate, digest, candidate.name[len("lib") : -len(".so")])
    found = ", ".join(one.name for one in candidates) or "none"
    raise LibraryError(
        f"{path} is of a library with SHA-256 {manifest['library_sha256']}, which none of the "
        f"folder's lib*.so has (found: {found}); build the library again"
    )
