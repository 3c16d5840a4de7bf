import os

import setuptools

# NOTE: pbr takes the version from git (or an sdist's PKG-INFO). An archive of the tree has neither; it still installs,
# under a version that says so.
if not os.path.exists(".git") and not os.path.exists("PKG-INFO"):
    os.environ.setdefault("PBR_VERSION", "0.0.0")

# NOTE: no py_modules, or setuptools would go and look for packages: the tree is shipped as data ([files] in setup.cfg).
setuptools.setup(setup_requires=["pbr>=6.0"], pbr=True, py_modules=[])
