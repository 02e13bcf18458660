#pragma once

#include <lovage/lovage.hpp>

#include <boost/multiprecision/cpp_int.hpp>

#include <vector>

namespace project {

/// The queue of the original stack's worker.
inline constexpr const char* kQueue = "project-worker";

/// Integers of any size: the original's are Python's, which never overflow.
using Integer = boost::multiprecision::cpp_int;

/// Registers what the original's worker knew, and two more that show other shapes of tasks.
void register_tasks(lovage::App& app);

}  // namespace project
