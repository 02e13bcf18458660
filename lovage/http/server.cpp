#include <lovage/http/server.hpp>

#include <list>
#include <optional>

#include <boost/asio/post.hpp>

#include <lovage/http/server/session.hpp>
#include <lovage/net/listener.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

namespace lovage::http {

namespace asio = boost::asio;
using std::chrono_literals::operator""s;

namespace {
constexpr auto kTick = 1s;
/// How long what was cancelled may take to end before that is worth a line in the log.
constexpr auto kCancelledTime = 5s;
}  // namespace

struct Server::Impl : std::enable_shared_from_this<Impl> {
    Impl(const Executor& executor, Api& api, ServerOptions server_options)
        : context{.executor = executor,
                  .api = api,
                  .options = server_options,
                  .ids = {},
                  .date = {},
                  .stopping = false,
                  .pool = nullptr},
          changed{executor},
          scope{executor} {}

    Awaitable<void> accept(net::Listener* listener);
    Awaitable<void> serve(std::unique_ptr<net::Stream> stream);
    Awaitable<void> watch_time();
    void stop();

    SessionContext context;
    std::vector<net::Listener> listeners;
    std::list<Session> sessions;
    Notifier changed;  ///< a session has ended, or the server stops
    bool watching_time = false;
    bool running = false;
    TaskScope scope;
};

Awaitable<void> Server::Impl::accept(net::Listener* listener) {
    while (!context.stopping) {
        if (sessions.size() >= context.options.connections) {
            co_await changed.wait();
            continue;
        }
        auto stream = co_await listener->accept();
        if (!stream) {
            if (stream.error().code != Errc::cancelled) {
                log::error("http", "{}", stream.error().message());
            }
            co_return;
        }
        scope.spawn("http connection", serve(*std::move(stream)));
        if (!std::exchange(watching_time, true)) scope.spawn("http time limits", watch_time());
    }
}

Awaitable<void> Server::Impl::serve(std::unique_ptr<net::Stream> stream) {
    const auto session = sessions.emplace(sessions.end(), context, std::move(stream));
    std::exception_ptr failure;
    try {
        co_await session->run();
    } catch (...) {
        failure = std::current_exception();  // Cancelled, or out of memory.
    }
    sessions.erase(session);
    changed.notify_all();
    if (failure) std::rethrow_exception(failure);
}

/// Runs while there are connections, so that an idle server sleeps.
Awaitable<void> Server::Impl::watch_time() {
    while (!sessions.empty()) {
        const auto next = Deadline::in(kTick);
        while (!sessions.empty() && !next.passed()) co_await changed.wait(next);
        const auto now = Session::Clock::now();
        for (auto& session : sessions) session.check_time(now);
    }
    watching_time = false;
}

void Server::Impl::stop() {
    if (std::exchange(context.stopping, true)) return;
    for (auto& listener : listeners) listener.close();
    for (auto& session : sessions) session.stop();
    changed.notify_all();
}

Server::Server(Executor executor, Api& api, ServerOptions options)
    : impl_{std::make_shared<Impl>(executor, api, options)} {
    api.freeze();
}

Server::~Server() {
    LOVAGE_ASSERT(!impl_->running && impl_->sessions.empty());
}

Result<void> Server::listen(const std::string& host, std::uint16_t port) {
    auto listener = net::Listener::tcp(impl_->context.executor, host, port);
    if (!listener) return std::unexpected{std::move(listener.error())};
    impl_->listeners.push_back(*std::move(listener));
    return {};
}

Result<void> Server::listen_unix(const std::string& path) {
    auto listener = net::Listener::local(impl_->context.executor, path);
    if (!listener) return std::unexpected{std::move(listener.error())};
    impl_->listeners.push_back(*std::move(listener));
    return {};
}

std::uint16_t Server::port() const noexcept {
    for (const auto& listener : impl_->listeners) {
        if (listener.port() != 0) return listener.port();
    }
    return 0;
}

std::vector<std::string> Server::urls() const {
    std::vector<std::string> urls;
    for (const auto& listener : impl_->listeners) {
        urls.push_back(listener.port() != 0 ? "http://" + listener.address() : listener.address());
    }
    return urls;
}

Awaitable<void> Server::run() {
    auto impl = impl_;
    impl->running = true;
    for (auto& listener : impl->listeners) {
        impl->scope.spawn("http listener", impl->accept(&listener));
    }
    while (!impl->context.stopping) co_await impl->changed.wait();
    while (impl->scope.running() > 0)
        co_await impl->scope.join(Deadline::in(std::chrono::hours{1}));
    impl->running = false;
    impl->changed.notify_all();
}

void Server::request_stop() noexcept {
    impl_->context.api.set_stopping();
    asio::post(impl_->context.executor, [impl = impl_] { impl->stop(); });
}

Awaitable<bool> Server::join(Deadline deadline) {
    auto impl = impl_;
    while (impl->running && !deadline.passed()) co_await impl->changed.wait(deadline);
    if (!impl->running) co_return true;
    log::warning("http", "{} connections are cut off: the time to stop is over",
                 impl->sessions.size());
    impl->stop();
    impl->scope.request_stop();
    const auto cancelled = Deadline::in(kCancelledTime);
    while (impl->running && !cancelled.passed()) co_await impl->changed.wait(cancelled);
    if (impl->running) log::warning("http", "waiting for plain handlers that still block");
    while (impl->running) co_await impl->changed.wait();
    co_return false;
}

std::size_t Server::connections() const noexcept {
    return impl_->sessions.size();
}

}  // namespace lovage::http
