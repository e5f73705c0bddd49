"""Actors, channels and the runtime that joins them."""

from .actors._failure import FailureSummary as FailureSummary
from .actors._profile_config import ProfileConfig as ProfileConfig
from .actors._protocols import Runnable as Runnable
from .actors._protocols import Streamable as Streamable
from .channels._channel_errors import BrokenResourceError as BrokenResourceError
from .channels._channel_errors import ClosedResourceError as ClosedResourceError
from .channels._channel_errors import EndOfChannel as EndOfChannel
from .channels._channel_errors import WouldBlock as WouldBlock
from .channels._channel_errors import placed_before as placed_before
from .channels._channel_state import ChannelStatistics as ChannelStatistics
from .channels._meter import Meter as Meter
from .channels._meter import OperationMeter as OperationMeter
from .channels._meter import SliceMeter as SliceMeter
from .channels._open_channel import open_channel as open_channel
from .channels._overflow import BufferOverflow as BufferOverflow
from .channels._overflow import OverflowPolicy as OverflowPolicy
from .channels._receive_channel import ReceiveChannel as ReceiveChannel
from .channels._send_channel import SendChannel as SendChannel

__version__ = "0.1.0"
