#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <lovage/core/error.hpp>
#include <lovage/runtime/file_descriptor.hpp>
#include <lovage/worker/prefork/claims.hpp>

namespace lovage::slot {

/// What a slot leaves behind when it dies, in memory it shares with its worker: written with plain
/// stores, the crash by its signal handler, read when the process is gone. Whatever it holds then
/// may be nonsense. A slot that was asked where it is leaves the same behind.
struct CrashPage {
    static constexpr std::size_t kFrames = 64;
    static constexpr std::size_t kModules = 16;
    static constexpr std::size_t kPathBytes = 192;

    enum Stage : std::uint32_t { nothing = 0, signal_known = 1, complete = 2 };

    struct Module {
        std::uint64_t base;                 ///< What its addresses are moved by.
        std::array<char, kPathBytes> path;  ///< Empty: the program itself. Ends with a zero.
    };

    /// What it has begun: what was given to it later has not started.
    Claims claims;

    std::atomic<std::uint32_t> stage;
    std::int32_t signal;
    std::int32_t code;  ///< siginfo_t::si_code
    std::uint64_t address;
    std::uint64_t instruction;  ///< 0: not known.
    std::uint32_t frame_count;
    std::uint32_t module_count;
    std::array<std::uint64_t, kFrames> frames;  ///< Innermost first.
    std::array<Module, kModules> modules;
};

/// A mapping of one page of crash facts. The memory is freed with the last one.
class CrashMapping {
public:
    /// Errors: unavailable.
    [[nodiscard]] static Result<FileDescriptor> create();
    explicit CrashMapping(int descriptor) noexcept;
    CrashMapping(CrashMapping&& other) noexcept : page_{std::exchange(other.page_, nullptr)} {}
    CrashMapping& operator=(CrashMapping&&) = delete;
    ~CrashMapping();

    /// nullptr when it could not be mapped.
    [[nodiscard]] CrashPage* get() const noexcept { return page_; }

private:
    CrashPage* page_ = nullptr;
};

/// Writes facts into `page` when this process crashes (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT),
/// then lets whoever handled the signal before have it: a sanitizer, a crash reporter, or the
/// kernel. Stack overflows of the calling thread are caught, too. `page` must stay.
///
/// At where_signal() it writes the call stack of the thread that calls this function now, and the
/// process ends (SIGKILL).
void install_crash_handler(CrashPage& page);

/// The signal that asks a slot where its task is, and ends it: SIGRTMAX-1, which no library known
/// to us uses. Without the handler it kills, too.
[[nodiscard]] int where_signal() noexcept;

}  // namespace lovage::slot
