#pragma once

/// Lets the environment arm the places of lovage/runtime/failpoint.hpp, in programs of tests only.
///
/// LOVAGE_FAILPOINT=POINT=ACTION[@N] does ACTION the Nth time the process comes to POINT (default:
/// the first): `kill` (SIGKILL), `stop:MS` (SIGSTOP, and SIGCONT that many milliseconds later) or
/// `error` (what comes next fails). LOVAGE_FAILPOINT_FILE=FILE is required with it: the file is
/// made at that moment, as the evidence that it happened, and whoever finds it does nothing any
/// more, so that a process started again goes on.
///
/// LOVAGE_LEAVE_OUT=LINE leaves out one safety line.
namespace lovage::testing_support {

/// Takes the wishes from the environment. Throws std::runtime_error when one cannot be understood.
/// Call it once, before anything else.
void arm_failpoints();

}  // namespace lovage::testing_support
