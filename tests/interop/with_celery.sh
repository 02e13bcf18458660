#!/bin/sh
# with_celery.sh PYTHON SCRIPT [ARG…]: runs a Python script with the Celery of PYTHON, or says why it cannot (77: skipped).
# PYTHON is Debian's or that of the virtual environment; LOVAGE_INTEROP_PYTHON takes the latter's place.
python=$1
shift
case $python in
    /usr/*) package="the Debian package python3-celery has it (./dev setup test)" ;;
    *)
        package="./dev test makes it"
        python=${LOVAGE_INTEROP_PYTHON:-$python}
        ;;
esac
if ! "$python" -c 'import celery, redis' 2>/dev/null; then
    echo "skipped: $python has no Celery; $package" >&2
    exit 77
fi
exec "$python" -B "$@"
