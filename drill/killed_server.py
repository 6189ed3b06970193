"""A server that is killed while it writes."""

from __future__ import annotations

from drill.case import Run, case


@case("server killed with -9 while a worker adds jobs")
def killed(run: Run) -> None:
    for folder in run.repeat(20):
        with run.serving(folder) as site:
            with site.writing() as acknowledged, site.watched():
                while len(acknowledged) < 50:
                    pass
            with site.writing() as later:
                while not later:
                    pass
                site.kill9()
            site.start()
            run.lost += site.missing(acknowledged + later)
            assert site.dailies("check").returncode == 0
