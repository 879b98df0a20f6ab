"""Which packages are installed: all that are found. Everything else is in pyproject.toml."""

from setuptools import find_packages, setup

# method_configs/ stands at the top of the repository but installs inside the package, so that no generic name lands in
# site-packages.
setup(
    packages=[
        *find_packages(include=["inr_plugins", "inr_plugins.*"]),
        *(f"inr_plugins.{name}" for name in find_packages(include=["method_configs", "method_configs.*"])),
    ],
    package_dir={"inr_plugins.method_configs": "method_configs"},
)
