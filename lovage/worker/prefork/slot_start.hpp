#pragma once

/// How a process learns that it is a prefork slot, and of whom.
namespace lovage::slot {

/// The descriptors a slot is started with.
inline constexpr int kRequestStream = 3;
inline constexpr int kOutcomeStream = 4;
inline constexpr int kControlStream = 5;
inline constexpr int kCrashPage = 6;

/// The variable that makes a process a slot; its value is the worker's process id. Taken out of the
/// environment before `main` begins, so that programs a task starts are no slots.
inline constexpr const char* kVariable = "LOVAGE_SLOT";

/// Says that this program's `main` serves as a slot when it is started as one; lovage::main does.
/// Without it no slots are started: they would be just another run of the program. Thread-safe.
void enable_slots() noexcept;
[[nodiscard]] bool slots_enabled() noexcept;

/// This process is a slot. A slot whose worker is gone has ended before `main`.
[[nodiscard]] bool is_slot() noexcept;

}  // namespace lovage::slot
