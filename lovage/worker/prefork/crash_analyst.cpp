#include <lovage/worker/prefork/crash_analyst.hpp>

#include <lovage/worker/prefork/backtrace.hpp>
#include <lovage/worker/prefork/crash_page.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <csignal>
#include <string>
#include <utility>

namespace lovage::slot {

namespace {

/// What killed a slot; the handler's word counts more than the exit of what came after it.
std::string cause_of(KillReason killed, const ExitStatus& status, const CrashPage* page) {
    if (killed == KillReason::time_limit) {
        return "killed by the worker, since its task reached its hard time limit";
    }
    if (killed == KillReason::memory) {
        return "killed by the worker, since it used more memory than worker_max_memory_per_child";
    }
    if (killed == KillReason::terminated) return "killed by the worker, since it was terminated";
    if (killed == KillReason::misbehaved) {
        return "killed by the worker, which could not understand it";
    }
    if (page != nullptr && page->stage.load() != CrashPage::nothing) {
        return to_string(ExitStatus{.signal = page->signal});
    }
    return to_string(status);
}

/// What was accessed, when the signal tells.
std::string address_of(const CrashPage* page) {
    if (page == nullptr || page->stage.load() == CrashPage::nothing) return {};
    const bool fault = page->signal == SIGSEGV || page->signal == SIGBUS;
    return fault && page->code > 0 ? fmt::format("{:#018x}", page->address) : std::string{};
}

Awaitable<std::string> describe(std::shared_ptr<CrashPage> page) {
    co_return describe_stack(*page);
}

}  // namespace

Awaitable<CrashReport> CrashAnalyst::examine(KillReason killed, ExitStatus status,
                                             std::shared_ptr<SlotProcess> process) {
    const CrashPage* const page = process->crash_page();
    CrashReport report{cause_of(killed, status, page), address_of(page), {}, process->last_words()};
    if (page != nullptr && page->stage.load() == CrashPage::complete) {
        if (!reader_) reader_ = std::make_unique<boost::asio::thread_pool>(1);
        auto copy = std::make_shared<CrashPage>();
        copy_checked(*page, *copy);
        report.backtrace = co_await boost::asio::co_spawn(
            reader_->get_executor(), describe(std::move(copy)), boost::asio::use_awaitable);
    }
    co_return report;
}

}  // namespace lovage::slot
