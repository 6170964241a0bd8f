from .loading import DATASETS as DATASETS
from .loading import load_samples as load_samples
from .samples import Dataset as Dataset
from .samples import Domain as Domain
from .samples import Encoding as Encoding
from .samples import InputSpec as InputSpec
from .samples import SampleArrays as SampleArrays
from .table import data_files as data_files
