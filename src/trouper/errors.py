"""What a run of tasks raises."""

from .runtime.tasks.errors import NonRecoverableError as NonRecoverableError
from .runtime.tasks.errors import RuntimeUserError as RuntimeUserError
from .runtime.tasks.errors import TaskTimeout as TaskTimeout
