"""Values too large for memory: files, folders and data frames, kept by reference."""

from .runtime.io._dataframe import DataFrame as DataFrame
from .runtime.io._dir import Dir as Dir
from .runtime.io._dir import DirWriter as DirWriter
from .runtime.io._errors import MissingExtra as MissingExtra
from .runtime.io._errors import NoStorage as NoStorage
from .runtime.io._errors import StorageError as StorageError
from .runtime.io._errors import ValueTooLarge as ValueTooLarge
from .runtime.io._file import File as File
from .runtime.io._incoming import AsyncFileWriter as AsyncFileWriter
from .runtime.io._incoming import FileWriter as FileWriter
from .runtime.io._reader import AsyncReader as AsyncReader
