"""The command `dailies token`: create, list and revoke API tokens."""

from __future__ import annotations

from dataclasses import asdict

import click

from dailies.cli.options import Output, command


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
    "--expires-after", type=click.IntRange(min=1), metavar="SECONDS", help="Default: never."
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
    return Output(
        {"ok": True, "tokens": found},
        [", ".join(f"{key} {value}" for key, value in one.items()) for one in found],
    )


def revoke_token(token_id: str) -> Output:
    from dailies.auth import tokens

    tokens.revoke(token_id)
    return Output({"ok": True, "id": token_id}, [f"token {token_id} is revoked"])


def create_token(actor: str, actions: tuple[str, ...], expires_after: int | None) -> Output:
    from dailies.auth import tokens

    token_id, secret = tokens.create(actor, actions, expires_after)
    return Output(
        {"ok": True, "id": token_id, "actor": actor, "token": secret},
        [secret],
        [f"token {token_id} for {actor}: it is shown only once"],
    )
