"""What a run of tasks raises, and a workspace that can't keep it."""

from .runtime.store._errors import AmbiguousRun as AmbiguousRun
from .runtime.store._errors import ClaimLost as ClaimLost
from .runtime.store._errors import NewerSchema as NewerSchema
from .runtime.store._errors import NoSuchRun as NoSuchRun
from .runtime.store._errors import NotTheSame as NotTheSame
from .runtime.store._errors import NoWorkspace as NoWorkspace
from .runtime.store._errors import RunNameTaken as RunNameTaken
from .runtime.store._errors import StoreBusy as StoreBusy
from .runtime.store._errors import StoreClosed as StoreClosed
from .runtime.store._errors import StoreDamaged as StoreDamaged
from .runtime.store._errors import StoreError as StoreError
from .runtime.store._errors import StoreFull as StoreFull
from .runtime.store._errors import StoreReadOnly as StoreReadOnly
from .runtime.store._errors import TooMuch as TooMuch
from .runtime.store._errors import WrongPhase as WrongPhase
from .runtime.tasks.errors import EnvVarsConflict as EnvVarsConflict
from .runtime.tasks.errors import NonRecoverableError as NonRecoverableError
from .runtime.tasks.errors import ProcessLost as ProcessLost
from .runtime.tasks.errors import RuntimeUserError as RuntimeUserError
from .runtime.tasks.errors import TaskTimeout as TaskTimeout
