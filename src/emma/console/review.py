"""The routes of the review page: recordings by id, pictures by frame, marks, and edits of datasets."""

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emma.bags.episode import EpisodeMeta
from emma.console.lease import Lease
from emma.console.library import BAGS, DATASET, Library, Source, open_dataset
from emma.console.requests import json_body, required, text_of
from emma.console.runs import Runs
from emma.console.sockets import state_message
from emma.errors import EmmaError

if TYPE_CHECKING:
    from emma.datasets.edits import Edit, EditList

# A name for a new dataset: one folder, no way out of it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
WORDS = 500
# A recorded picture does not change.
KEEP = {"cache-control": "private, max-age=3600"}
ROOT = "/api/library/{source}"
EPISODE = ROOT + "/episodes/{episode}"


class Review:
    """Handlers over a library. Edits and marks need the lease where a robot shares the console."""

    def __init__(self, library: Library, runs: Runs, lease: Lease | None, say: Callable[[str], None]) -> None:
        self._library, self._runs, self._lease, self._say = library, runs, lease, say
        self._writing = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/library", self._sources),
            Route("/api/last", self._last),
            Route("/api/runs", self._all_runs),
            Route("/api/runs/{run}", self._run),
            Route(ROOT + "/episodes", self._episodes),
            Route(EPISODE, self._clip),
            Route(EPISODE + "/frames/{camera}/{frame:int}", self._picture),
            Route(EPISODE + "/mark", self._mark, methods=["POST"]),
            Route(ROOT + "/edits", self._edits),
            Route(ROOT + "/edits", self._edit, methods=["POST"]),
            Route(ROOT + "/apply", self._apply, methods=["POST"]),
        ]

    async def _sources(self, _: Request) -> Response:
        sources = await run_in_threadpool(self._library.sources)
        return _answer([source.about for source in sources])

    async def _last(self, _: Request) -> Response:
        source, episode = await run_in_threadpool(self._library.last)
        return _answer(
            {"source": source, "episode": episode, "frames": f"/api/library/{source}/episodes/{episode}/frames"}
        )

    async def _all_runs(self, _: Request) -> Response:
        return _answer(await run_in_threadpool(self._runs.all))

    async def _run(self, request: Request) -> Response:
        return _answer(await run_in_threadpool(self._runs.curves, request.path_params["run"]))

    async def _episodes(self, request: Request) -> Response:
        return _answer(await run_in_threadpool(self._library.episodes, request.path_params["source"]))

    async def _clip(self, request: Request) -> Response:
        source, episode = request.path_params["source"], request.path_params["episode"]
        return _answer(await run_in_threadpool(self._about, source, episode))

    def _about(self, source: str, episode: str) -> dict[str, Any]:
        about = self._library.clip(source, episode).about()
        if (origin := about.get("generated")) is not None:
            found = self._library.origin(source, origin["dataset"], origin["episode"], about["frames"])
            base = None if found is None else EPISODE.format(source=found[0], episode=origin["episode"])
            origin["source"] = None if found is None else {"base": base, "cameras": found[1]}
        return about

    async def _picture(self, request: Request) -> Response:
        found = request.path_params
        picture = await run_in_threadpool(
            lambda: self._library.clip(found["source"], found["episode"]).picture(found["camera"], found["frame"])
        )
        return Response(picture.data, media_type=picture.kind, headers=KEEP)

    async def _mark(self, request: Request) -> Response:
        """Success, failure or words of a bag, in its episode.yaml. Datasets have edits for that."""
        values = await self._write(request)
        source, episode = request.path_params["source"], request.path_params["episode"]
        changes: dict[str, Any] = {}
        if "success" in values:
            if values["success"] not in (True, False, None):
                raise EmmaError(
                    "bad value for success", found=type(values["success"]).__name__, expected="true or false"
                )
            changes["success"] = values["success"]
        if "instruction" in values:
            changes["instruction"] = text_of(values, "instruction", WORDS)
        await run_in_threadpool(self._change, source, episode, changes)
        return _answer({})

    def _change(self, source: str, episode: str, changes: dict[str, Any]) -> None:
        if self._library.source(source).kind != BAGS:
            raise EmmaError("a dataset is edited, not marked", fix="add an edit")
        folder = self._library.bag(source, episode)
        meta = EpisodeMeta.load(folder)
        if meta.state == "recording":
            raise EmmaError(f"{meta.id} is being recorded", fix="save it first")
        meta.with_(**changes).save(folder)
        self._library.forget(source, episode)

    async def _edits(self, request: Request) -> Response:
        source = await self._dataset(request)

        def read() -> dict[str, Any]:
            from emma.datasets.edits import load_edits

            return _shown(source, load_edits(source.path))

        return _answer(await run_in_threadpool(read))

    async def _edit(self, request: Request) -> Response:
        values = await self._write(request)
        source = await self._dataset(request)

        def change() -> dict[str, Any]:
            from emma.datasets.edits import load_edits, save_edits

            edits = load_edits(source.path)
            if values.get("undo") is True:
                new = edits.undone()
            elif values.get("keep") is True:
                new = edits.keeping(self._edit_of({**values, "kind": "delete"}).episode)
            else:
                new = edits.adding(self._edit_of(values))
            shown = _shown(source, new)
            save_edits(source.path, new)
            return shown

        async with self._writing:
            return _answer(await run_in_threadpool(change))

    def _edit_of(self, values: dict[str, Any]) -> "Edit":
        """An edit as the page sends it; a dataset to merge is named by its id."""
        from emma.datasets.edits import KINDS, Edit

        numbers = {
            key: values.get(key, default) for key, default in (("episode", -1), ("first", 0), ("end", 0), ("at", -1))
        }
        for key, value in numbers.items():
            if type(value) is not int:
                raise EmmaError(f"bad value for {key}", found=type(value).__name__, expected="a whole number")
        kind, success = text_of(values, "kind", 20), values.get("success")
        if kind not in KINDS or success not in (True, False, None):
            raise EmmaError("not an edit", found=kind, expected=f"one of {', '.join(KINDS)}")
        other = self._library.source(text_of(values, "dataset", 64)) if kind == "merge" else None
        if other is not None and other.kind != DATASET:
            raise EmmaError("bags cannot be merged into a dataset", fix="convert them first: emma episodes convert")
        words = text_of(values, "words", WORDS, "")
        return Edit(kind=kind, words=words, success=success, dataset=str(other.path) if other else "", **numbers)

    async def _apply(self, request: Request) -> Response:
        """Write the edited dataset beside the original; the list of edits is used up."""
        values = await self._write(request)
        source = await self._dataset(request)
        name = text_of(values, "name", 64)
        if NAME.fullmatch(name) is None:
            raise EmmaError("bad name for a dataset", found=name, expected="letters, digits and . _ -")

        def work() -> int:
            from emma.datasets.edits import EditList, apply_edits, load_edits, save_edits

            edits = load_edits(source.path)
            count = apply_edits(source.path, edits.edits, source.path.with_name(name))
            save_edits(source.path, EditList(sha256=edits.sha256))
            return count

        async with self._writing:
            count = await run_in_threadpool(work)
        self._say(f"{name}: {count} episodes, edited from {source.path.name}")
        return _answer({"name": name, "episodes": count})

    async def _dataset(self, request: Request) -> Source:
        source = await run_in_threadpool(self._library.source, request.path_params["source"])
        if source.kind != DATASET:
            raise EmmaError("bags are not edited", found=source.path.name, expected="a dataset")
        return source

    async def _write(self, request: Request) -> dict[str, Any]:
        if self._lease is not None:
            self._lease.require(required(request).id)
        return await json_body(request)


def _shown(source: Source, edits: "EditList") -> dict[str, Any]:
    from emma.datasets.edits import preview

    opened = open_dataset(source.path)
    parts = preview(opened, edits.edits) if edits.edits else []
    result = [
        {"episode": p.episode, "first": p.first, "end": p.end, "words": p.words, "success": p.success} for p in parts
    ]
    deleted = sorted({edit.episode for edit in edits.edits if edit.kind == "delete"})
    return {"edits": [str(edit) for edit in edits.edits], "result": result, "deleted": deleted}


def _answer(values: Any) -> Response:
    """JSON that a browser reads, whatever numbers are in it."""
    return Response(state_message(values), media_type="application/json", headers={"cache-control": "no-store"})
