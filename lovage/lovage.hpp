#pragma once
// Everything a program that defines, sends or runs tasks needs. HTTP servers include
// <lovage/http/…> beside it.

#include <lovage/app/app.hpp>
#include <lovage/beat/beat_schedule.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/cli/main.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/core/task_function.hpp>

namespace lovage::detail {
/// Makes the drivers for sqlite:// and memory:// known to every program that includes this header.
inline const bool kDriversRegistered = (register_default_drivers(), true);
}  // namespace lovage::detail
