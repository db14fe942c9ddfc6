"""What booking must be told to run."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from booking.domain.offers import DECIDE_WITHIN
from common.settings import RetentionSettings, ServiceSettings


class BookingRetention(RetentionSettings):
    offers: timedelta = Field(default=timedelta(days=30), ge=timedelta(days=1))
    """Offers, after their time is over."""


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="BOOKING_", env_nested_delimiter="__", frozen=True)

    retention: BookingRetention = BookingRetention()
    decide_within: timedelta = Field(default=DECIDE_WITHIN, gt=timedelta(minutes=1), le=timedelta(hours=1))
    """How long a request keeps its time while it is not confirmed."""
    most_unsent: int = Field(default=50_000, ge=1)
    """Above this number of events that Kafka has not got, new bookings answer 503."""
