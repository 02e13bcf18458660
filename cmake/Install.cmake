# Installs the static libraries, the public headers and the package files for find_package(Lovage).
