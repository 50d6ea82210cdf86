"""The tables of the installation itself, which belong to no workspace. What reads and writes them is text, and needs no
SQLAlchemy."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base
from crm_graph.db.placement import LOCAL


class InstallationSecret(Base):
    """A secret of the installation; belongs to no workspace."""

    __tablename__ = "installation_secret"
    __placement__ = LOCAL

    id: Mapped[int] = mapped_column(primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class SigningKey(Base):
    """A key of one period under one secret. Local (undistributed) on Citus: it belongs to no workspace."""

    __tablename__ = "signing_key"
    __placement__ = LOCAL

    secret_id: Mapped[str] = mapped_column(primary_key=True)
    """Names the installation's secret that it is sealed under, and tells nothing of it."""
    period: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    sealed: Mapped[str]
    created_at: Mapped[datetime]
