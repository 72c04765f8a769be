"""Regions of a model's own vectors where its errors crowd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from thriftune.analysis.findings.errors.error_matrix import Mask
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.enrichment import LEVEL, Enrichment, enrichment

COMPONENTS = 20
"""Principal components that the map is drawn from."""
CLUSTERED = 5
"""The first of them, which are clustered: in more, everything is about equally far from everything."""
MIN_CLUSTER = 10
"""Errors in the smallest cluster; one in fifty where there are more than 500."""
NEIGHBOURS = 3
"""HDBSCAN's min_samples."""
REACH = 0.9
"""A region reaches as far from an error of its cluster as this share of those errors lie from each other."""


@dataclass(frozen=True)
class Regions:
    """Clusters of errors; findings first, and then by the lower end of the lift's interval."""

    region: NDArray[np.int64]
    """The region of each text, -1 for none: (texts,)."""
    numbers: Enrichment
    """Error rate in each region against all texts, from the half of the texts that formed no cluster: (regions,)."""
    p: Floats
    """Bonferroni-adjusted p values, (regions,)."""


def components(vectors: NDArray[np.float16]) -> Floats:
    """The vectors' first principal components, (texts, at most COMPONENTS)."""
    values = vectors.astype(np.float32)
    count = min(COMPONENTS, *values.shape)
    return np.asarray(PCA(count, svd_solver="covariance_eigh").fit_transform(values), dtype=np.float64)


def regions(points: Floats, wrong: Mask) -> Regions:
    """Clusters the errors among every other text (HDBSCAN; Campello et al., 2013) and tests them on the rest.

    A region holds the texts whose nearest clustered error is near. Because its error rate comes from texts that had
    no part in forming it, a region that errors share by chance is no finding. `points` has the shape (texts,
    components), the most important component first.
    """
    points = points[:, :CLUSTERED]
    forming = wrong & (np.arange(len(wrong)) % 2 == 0)
    region = np.full(len(wrong), -1)
    size = max(MIN_CLUSTER, int(forming.sum()) // 50)
    if forming.sum() >= 2 * size:
        search = HDBSCAN(min_cluster_size=size, min_samples=NEIGHBOURS, cluster_selection_method="leaf", copy=True)
        found = search.fit_predict(points[forming])
        region = _reach(points, points[forming], found)
    count = int(region.max(initial=-1)) + 1
    fresh = np.arange(len(wrong)) % 2 == 1
    inside = [fresh & (region == i) for i in range(count)]
    texts = np.array([each.sum() for each in inside], dtype=np.int64)
    errors = np.array([(each & wrong).sum() for each in inside], dtype=np.int64)
    numbers = enrichment(errors, texts, int((fresh & wrong).sum()), int(fresh.sum()))
    p = np.minimum(1.0, numbers.p * count)
    order = np.lexsort((-numbers.low, p > LEVEL))
    rank = np.append(np.argsort(order), -1)
    return Regions(rank[region], numbers[order], p[order])


def _reach(points: Floats, errors: Floats, cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cluster of each text's nearest error, -1 where that is in none or too far away."""
    search = NearestNeighbors(n_neighbors=2).fit(errors)
    between = search.kneighbors(errors)[0][:, 1]
    count = int(cluster.max(initial=-1)) + 1
    limits = [np.quantile(between[cluster == i], REACH) for i in range(count)]
    distance, nearest = (each[:, 0] for each in search.kneighbors(points, 1))
    mine = cluster[nearest]
    return np.where((mine >= 0) & (distance <= np.append(limits, 0.0)[mine]), mine, -1)


def picture(points: Floats) -> Floats:
    """Two coordinates for each point that keep neighbours together (t-SNE; van der Maaten and Hinton, 2008)."""
    perplexity = min(30.0, (len(points) - 1) / 3)
    made = TSNE(init="pca", perplexity=perplexity, max_iter=500, random_state=0).fit_transform(points)
    return np.asarray(made, dtype=np.float64)
