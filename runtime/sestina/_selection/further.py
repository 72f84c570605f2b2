"""What a session gives of tokens beside vectors, held to the bundle's goldens too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import Golden
from sestina._bundle.result_goldens import read_result_goldens, result_distance
from sestina._bundle.results import TENSORS, Results
from sestina._selection.probe import Probe
from sestina._session.buckets import run_padded_for
from sestina._session.session import Session
from sestina._session.token_results import finished


class Further:
    """The goldens of such results.

    Args:
        bundle: Of which.
        results: What it gives.

    Raises:
        BundleFormatError: Where the goldens cannot be read.
    """

    def __init__(self, bundle: Bundle, results: Results) -> None:
        self._results = results
        self._goldens = read_result_goldens(bundle, results)
        self._names = results.names[1:]

    def probed(
        self,
        probe: Probe,
        session: Session,
        goldens: Sequence[Golden],
        all_goldens: Sequence[Golden],
        length: int | None,
    ) -> Probe:
        """The outcome of a probe, with the largest difference of these too.

        Args:
            probe: Of vectors.
            session: What was probed.
            goldens: Those that it ran, all of which have tokens.
            all_goldens: Those of the bundle, in order.
            length: Of every text, where the session was opened for one.
        """
        outputs, errors = [TENSORS[name] for name in self._names], [probe.error]
        for golden in goldens:
            ids = np.array([golden.ids], dtype=np.int64)
            if length is None:
                found = session.run_for(outputs, ids, golden.start)
            else:
                found = run_padded_for(session, outputs, ids[0], length, golden.start)
            own = {
                name: finished(name, self._results, ids[0], found[TENSORS[name]][0]) for name in self._names
            }
            place = next(at for at, each in enumerate(all_goldens) if each is golden)
            errors.append(result_distance(own, self._goldens[place]))
        return replace(probe, error=float(np.max(errors)))
