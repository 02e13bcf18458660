#pragma once

#include <lovage/lovage.hpp>

#include <boost/multiprecision/cpp_int.hpp>

#include <chrono>
#include <vector>

namespace project {

/// The queue of the original stack's worker.
inline constexpr const char* kQueue = "project-worker";

/// Integers of any size: the original's are Python's, which never overflow.
using Integer = boost::multiprecision::cpp_int;

/// How often the scheduled task runs.
inline constexpr std::chrono::seconds kSignOfLife{30};

/// Registers what the original's worker knew, and two more that show other shapes of tasks, one of
/// which is scheduled.
void register_tasks(lovage::App& app);

}  // namespace project
