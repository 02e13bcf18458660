#include <lovage/runtime/loop.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include <pthread.h>

namespace lovage {

namespace asio = boost::asio;

struct Loop::Impl {
    std::string name;
    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
    std::atomic<std::thread::id> thread_id{};
    std::mutex start_mutex;
    std::mutex submit_mutex;  // held while a blocked caller hands its work over
    std::thread thread;

    void run() {
        thread_id = std::this_thread::get_id();
        context.run();
        thread_id = std::thread::id{};
    }
};

Loop::Loop(std::string name) : impl_{std::make_unique<Impl>()} {
    impl_->name = std::move(name);
}

Loop::~Loop() {
    stop_and_join();
    // A caller may still be on its way out of the io_context, after the loop has taken its work.
    const std::lock_guard lock{impl_->submit_mutex};
}

void Loop::start() {
    const std::lock_guard lock{impl_->start_mutex};
    if (impl_->thread.joinable()) return;
    impl_->thread = std::thread{[this] {
        pthread_setname_np(pthread_self(), impl_->name.substr(0, 15).c_str());
        impl_->run();
    }};
}

void Loop::run_here() {
    impl_->run();
}

void Loop::stop() noexcept {
    impl_->context.stop();
}

void Loop::stop_and_join() noexcept {
    stop();
    const std::lock_guard lock{impl_->start_mutex};
    if (impl_->thread.joinable()) impl_->thread.join();
}

Executor Loop::executor() const {
    return impl_->context.get_executor();
}

bool Loop::on_loop_thread() const noexcept {
    return impl_->thread_id.load() == std::this_thread::get_id();
}

void Loop::post(std::move_only_function<void()> work) {
    asio::post(impl_->context, std::move(work));
}

void Loop::run_blocking(Awaitable<void> work) {
    if (on_loop_thread()) {
        throw LovageError{
            Error{Errc::invalid_argument,
                  "a blocking call on the event loop's own thread would never end: use the "
                  "awaitable form (co_await)"}};
    }
    // Only the completion handler holds the promise: when the loop is destroyed first, the handler
    // goes without having run and the promise breaks.
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> end = done->get_future();
    {
        const std::lock_guard lock{impl_->submit_mutex};
        asio::co_spawn(impl_->context, std::move(work),
                       [done = std::move(done)](const std::exception_ptr& error) {
                           if (error) {
                               done->set_exception(error);
                           } else {
                               done->set_value();
                           }
                       });
    }
    try {
        end.get();
    } catch (const std::future_error& error) {
        if (error.code() != std::future_errc::broken_promise) throw;
        throw LovageError{Error{Errc::closed, "the event loop ended before the call did"}};
    }
}

}  // namespace lovage
