"""The scores of one run on one split, with scikit-learn."""

from __future__ import annotations

import numpy as np

from thriftune.results.scores import ClassScores, Scores


def score(labels: np.ndarray, probabilities: np.ndarray, names: tuple[str, ...]) -> Scores:
    """Scores of probabilities (texts, classes) against label ids (texts,).

    The predicted label is the most probable one (the first of equals). A class without predictions has
    precision 0, one without texts recall 0. Macro F1 is the mean over the classes that occur or are predicted; the
    others are `absent`. The loss is the mean negative log probability of the true label in
    nats, probabilities clipped at 1e-12 so that a baseline's zero stays finite.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    ids = np.arange(len(names))
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=ids, zero_division=0.0)
    truth = probabilities[np.arange(len(labels)), labels]
    present = np.union1d(labels, predicted)
    return Scores(
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(np.mean(f1[present])),
        loss=float(-np.log(np.clip(truth, 1e-12, None)).mean()),
        per_class={
            name: ClassScores(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(names)
        },
        confusion=confusion_matrix(labels, predicted, labels=ids).tolist(),
        absent=[name for i, name in enumerate(names) if i not in present],
    )
