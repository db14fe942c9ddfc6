"""What booking must be told to run."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from booking.domain.offers import DECIDE_WITHIN
from common.settings import RetentionSettings, ServiceSettings


class BookingRetention(RetentionSettings):
    offers: timedelta = Field(default=timedelta(days=30), ge=timedelta(days=1))  # after they are over


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="BOOKING_", env_nested_delimiter="__", frozen=True)

    retention: BookingRetention = BookingRetention()
    decide_within: timedelta = Field(
        default=DECIDE_WITHIN, gt=timedelta(minutes=1), le=timedelta(hours=1)
    )  # how long a request keeps its time while nothing is held
    most_unsent: int = Field(default=50_000, ge=1)  # events the broker has not got: above it, no new bookings
