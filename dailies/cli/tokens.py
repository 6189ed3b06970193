"""The command `dailies token`: create, list and revoke API tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from dailies.cli.options import Output, command
from dailies.cli.parameters import Duration


@click.command()
@click.argument("actor", required=False)
@click.option(
    "--can",
    "actions",
    multiple=True,
    metavar="ACTION",
    help="Allow only this action, such as create-job; repeatable.",
)
@click.option(
    "--expires-after",
    type=Duration(),
    metavar="DURATION",
    help="Seconds, or such as 30m, 12h, 1d, 2w. Default: never.",
)
@click.option("--list", "listing", is_flag=True, help="List tokens, without their secrets.")
@click.option("--revoke", metavar="ID", help="Revoke a token immediately.")
@command
def token(
    actor: str | None,
    actions: tuple[str, ...],
    expires_after: int | None,
    listing: bool,
    revoke: str | None,
) -> Output:
    """Create an API token for ACTOR (root and worker may write), list tokens, or revoke one.

    Without --can, the token allows everything that ACTOR may do.
    """
    if [bool(actor), listing, bool(revoke)].count(True) != 1:
        raise click.UsageError("give one of ACTOR, --list and --revoke ID")
    if listing:
        return list_tokens()
    if revoke:
        return revoke_token(revoke)
    return create_token(str(actor), actions, expires_after)


def list_tokens() -> Output:
    from dailies.auth import tokens

    found = [asdict(one) for one in tokens.list_tokens()]
    return Output({"ok": True, "tokens": found}, rows=found)


def revoke_token(token_id: str) -> Output:
    from dailies.auth import tokens

    tokens.revoke(token_id)
    return Output({"ok": True, "id": token_id}, [f"token {token_id} is revoked"])


def create_token(actor: str, actions: tuple[str, ...], expires_after: int | None) -> Output:
    from dailies.auth import tokens

    try:
        tokens.check_actions(actions)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    token_id, secret = tokens.create(actor, actions, expires_after)
    messages = [f"token {token_id} for {actor}: it is shown only once"]
    if not is_named(actor):
        messages.append(f"Warning: metadata.yml gives {actor} no permission: the token only reads")
    return Output(
        {"ok": True, "id": token_id, "actor": actor, "token": secret},
        [secret],
        messages,
    )


def is_named(actor: str) -> bool:
    """True if a rule of metadata.yml names the actor."""
    from dailies.server import configuration

    return names(configuration(), actor)


def names(settings: Any, actor: str) -> bool:
    """True if an `id` in these settings, at any depth, is or includes the actor."""
    if not isinstance(settings, dict):
        return isinstance(settings, list) and any(names(one, actor) for one in settings)
    for key, value in settings.items():
        if key == "id" and any(
            one in (actor, "*") for one in (value if isinstance(value, list) else [value])
        ):
            return True
        if names(value, actor):
            return True
    return False
