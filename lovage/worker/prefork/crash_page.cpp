#include <lovage/worker/prefork/crash_page.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace lovage::slot {

namespace {

constexpr std::array kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
/// For the handler and the unwinder; a sanitizer's own reports need most of it.
constexpr std::size_t kStackBytes = std::size_t{256} << 10U;

CrashPage* crash_page = nullptr;
std::array<struct sigaction, kSignals.size()> previous_actions;
std::atomic_flag page_taken = ATOMIC_FLAG_INIT;
pid_t task_thread = 0;

std::uint64_t instruction_of(const void* context) {
    const auto* const user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
    return static_cast<std::uint64_t>(user->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return user->uc_mcontext.pc;
#else
    (void)user;
    return 0;
#endif
}

/// Notes which file an address is from. Takes no lock, unlike dladdr(3).
void note_module(CrashPage& page, void* address) {
    dl_find_object found{};
    if (::_dl_find_object(address, &found) != 0 || found.dlfo_link_map == nullptr) return;
    const std::uint64_t base = found.dlfo_link_map->l_addr;
    for (std::uint32_t i = 0; i < page.module_count; ++i) {
        if (page.modules[i].base == base) return;
    }
    if (page.module_count == CrashPage::kModules) return;
    CrashPage::Module& module = page.modules[page.module_count];
    module.base = base;
    const char* const path = found.dlfo_link_map->l_name;
    std::size_t i = 0;
    for (; path != nullptr && path[i] != '\0' && i + 1 < module.path.size(); ++i) {
        module.path[i] = path[i];
    }
    module.path[i] = '\0';
    ++page.module_count;
}

/// Only what may be called in a signal handler, in a process that is damaged.
void write_facts(CrashPage& page, int signal, const siginfo_t* info, const void* context) {
    page.signal = signal;
    page.code = info->si_code;
    page.address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    page.instruction = instruction_of(context);
    page.stage.store(CrashPage::signal_known);
    // Should the unwinder crash, the kernel ends the process: the signal is blocked here.
    std::array<void*, CrashPage::kFrames> frames;
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    for (int i = 0; i < count; ++i) {
        const auto frame = static_cast<std::size_t>(i);
        page.frames[frame] = reinterpret_cast<std::uintptr_t>(frames[frame]);
        note_module(page, frames[frame]);
    }
    page.frame_count = static_cast<std::uint32_t>(std::max(count, 0));
    page.stage.store(CrashPage::complete);
}

void on_crash(int signal, siginfo_t* info, void* context) {
    const int saved = errno;
    if (crash_page != nullptr && !page_taken.test_and_set()) {
        write_facts(*crash_page, signal, info, context);
    }
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        if (kSignals[i] == signal) ::sigaction(signal, &previous_actions[i], nullptr);
    }
    // A fault happens again at the same instruction; what was sent is sent again.
    if (info->si_code <= 0) ::raise(signal);
    errno = saved;
}

/// The kernel gives it to any thread that does not block it.
void on_question(int signal, siginfo_t* info, void* context) {
    const int saved = errno;
    if (::gettid() != task_thread) {
        ::tgkill(::getpid(), task_thread, signal);
    } else if (!page_taken.test_and_set()) {
        write_facts(*crash_page, signal, info, context);
        ::kill(::getpid(), SIGKILL);
    }  // else a crash of another thread is being written down
    errno = saved;
}

void handle_question() {
    struct sigaction action{};
    action.sa_sigaction = on_question;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(where_signal(), &action, nullptr);
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, where_signal());
    ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
}

void give_handler_a_stack() {
    void* const memory = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t stack{};
    stack.ss_sp = memory;
    stack.ss_size = kStackBytes;
    ::sigaltstack(&stack, nullptr);  // for as long as the process lives
}

}  // namespace

Result<FileDescriptor> CrashMapping::create() {
    FileDescriptor memory{::memfd_create("lovage-crash", MFD_CLOEXEC)};
    if (!memory || ::ftruncate(memory.get(), sizeof(CrashPage)) != 0) {
        return fail(Errc::unavailable, fmt::format("memfd_create: {}", std::strerror(errno)));
    }
    return memory;
}

CrashMapping::CrashMapping(int descriptor) noexcept {
    void* const memory =
        ::mmap(nullptr, sizeof(CrashPage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory != MAP_FAILED) page_ = static_cast<CrashPage*>(memory);
}

CrashMapping::~CrashMapping() {
    if (page_ != nullptr) ::munmap(page_, sizeof(CrashPage));
}

int where_signal() noexcept {
    return SIGRTMAX - 1;
}

void install_crash_handler(CrashPage& page) {
    crash_page = &page;
    task_thread = ::gettid();
    // The first call loads the unwinder, which a handler must not do.
    std::array<void*, 4> frames;
    ::backtrace(frames.data(), static_cast<int>(frames.size()));
    give_handler_a_stack();
    struct sigaction action{};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        ::sigaction(kSignals[i], &action, &previous_actions[i]);
    }
    handle_question();
}

}  // namespace lovage::slot
