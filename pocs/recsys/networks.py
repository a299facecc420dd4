"""The networks: two towers that meet in an inner product, and a ranker that looks at each candidate (DLRM-style)."""

from __future__ import annotations

import torch
from torch.nn import functional
from world import AGES, CATEGORIES, COUNTRIES, HOURS

VECTOR, TEMPERATURE = 32, 0.08
#: Columns of the users' table (row, age, country) and of the items' (row, category, price, popularity, vector).
USER_WIDTH, ITEM_WIDTH = 3, 4 + VECTOR


class UserTower(torch.nn.Module):
    """User, hour and history to a vector [n, VECTOR]. A user that is not known has the embedding of the unknown one."""

    def __init__(self, users: int) -> None:
        super().__init__()
        self.user = torch.nn.Embedding(users + 1, VECTOR)
        self.age, self.country = torch.nn.Embedding(AGES + 1, VECTOR), torch.nn.Embedding(COUNTRIES + 1, VECTOR)
        self.hour, self.history = torch.nn.Embedding(HOURS, VECTOR), torch.nn.Linear(VECTOR, VECTOR)
        self.layers = torch.nn.Sequential(torch.nn.Linear(VECTOR, 96), torch.nn.ReLU(), torch.nn.Linear(96, VECTOR))

    def forward(
        self,
        user_row: torch.Tensor,
        user_known: torch.Tensor,
        hour: torch.Tensor,
        history_rows: torch.Tensor,
        history_known: torch.Tensor,
    ) -> torch.Tensor:
        """user_row [n, 1, 3], user_known [n, 1], hour [n, 1], history_rows [n, h, ITEM_WIDTH], history_known [n, h]."""
        known = user_known.long()
        row, age, country = ((user_row[:, 0, i : i + 1].long() + 1) * known for i in range(USER_WIDTH))
        seen = (history_rows[:, :, -VECTOR:] * history_known.unsqueeze(-1)).sum(dim=1)
        seen = seen / history_known.sum(dim=1, keepdim=True).clamp(min=1.0)
        plain = (self.user(row) + self.age(age) + self.country(country) + self.hour(hour % HOURS))[:, 0]
        together = plain + self.history(seen)
        return functional.normalize(together + self.layers(together))


class ItemTower(torch.nn.Module):
    """Items by row, category, price and popularity to vectors [n, VECTOR]; used to fill the index, never served."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.item, self.category = torch.nn.Embedding(items, VECTOR), torch.nn.Embedding(CATEGORIES, VECTOR)
        self.plain = torch.nn.Linear(2, VECTOR)

    def forward(self, item: torch.Tensor, category: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        """item and category [n], plain [n, 2]: logarithms of price and popularity."""
        return functional.normalize(self.item(item) + self.category(category) + self.plain(plain))


class Ranker(torch.nn.Module):
    """A user's vector and K candidates to K scores; a candidate that is not known scores minus a billion."""

    def __init__(self) -> None:
        super().__init__()
        self.category, self.hour = torch.nn.Embedding(CATEGORIES, 16), torch.nn.Embedding(HOURS, 16)
        self.dense, self.user = torch.nn.Linear(2, 16), torch.nn.Linear(VECTOR, 16)
        self.item = torch.nn.Linear(VECTOR, 16)
        self.layers = torch.nn.Sequential(torch.nn.Linear(5 * 16 + 11, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

    def forward(
        self, user_vector: torch.Tensor, hour: torch.Tensor, rows: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """user_vector [n, VECTOR], hour [n, 1], rows [n, K, ITEM_WIDTH], known [n, K] to scores [n, K]."""
        vectors = rows[:, :, -VECTOR:]
        match = (vectors * user_vector.unsqueeze(1)).sum(dim=-1, keepdim=True)
        user = self.user(user_vector).unsqueeze(1).expand(-1, rows.shape[1], -1)
        hours = self.hour(hour % HOURS).expand(-1, rows.shape[1], -1)
        fields = torch.stack(
            (user, hours, self.category(rows[:, :, 1].long()), self.dense(rows[:, :, 2:4]), self.item(vectors)), dim=2
        )
        crosses = torch.matmul(fields, fields.transpose(2, 3))
        above = torch.triu_indices(5, 5, offset=1)
        pairs = crosses[:, :, above[0], above[1]]
        scores = self.layers(torch.cat((fields.flatten(2), pairs, match), dim=-1)) + match / TEMPERATURE
        scores = scores.squeeze(-1)
        return torch.where(known > 0, scores, torch.full_like(scores, -1e9))


def in_batch_softmax(users: torch.Tensor, items: torch.Tensor, rows: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Each user's own item against the others of the batch, corrected for how often these come (Yi et al., 2019).

    The vectors have unit length: a graph index for inner products of unequal lengths finds almost nothing.
    """
    logits = users @ items.T / TEMPERATURE - log_q[rows]
    same = rows.unsqueeze(0) == rows.unsqueeze(1)
    same.fill_diagonal_(False)
    return functional.cross_entropy(logits.masked_fill(same, -1e9), torch.arange(len(rows)))
