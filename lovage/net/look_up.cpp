#include <lovage/net/detail/look_up.hpp>

#include <lovage/runtime/notifier.hpp>

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace lovage::net::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// Shared by the one who waits and the look-up: either may be over first.
struct LookUp {
    explicit LookUp(const Executor& executor) : resolver{executor}, arrived{executor} {}
    void answer(const error_code& problem, Addresses found) {
        outcome.emplace(problem, std::move(found));
        arrived.notify_all();
    }

    tcp::resolver resolver;
    Notifier arrived;
    std::optional<std::pair<error_code, Addresses>> outcome;
};

/// Gives up a look-up that nobody waits for: one that has not begun never will.
class GiveUp {
public:
    explicit GiveUp(std::shared_ptr<LookUp> looking) : looking_{std::move(looking)} {}
    ~GiveUp() { looking_->resolver.cancel(); }
    GiveUp(const GiveUp&) = delete;
    GiveUp& operator=(const GiveUp&) = delete;

private:
    std::shared_ptr<LookUp> looking_;
};

void begin(const std::shared_ptr<LookUp>& looking, const std::string& host,
           const std::string& port) {
    auto answer = [looking](const error_code& problem, Addresses found) {
        looking->answer(problem, std::move(found));
    };
    if (const Resolver& fake = resolver_for_tests()) {
        fake(host, answer);
    } else {
        looking->resolver.async_resolve(host, port, std::move(answer));
    }
}

}  // namespace

Resolver& resolver_for_tests() {
    static Resolver resolver;
    return resolver;
}

Awaitable<Result<Addresses>> look_up(std::string host, std::uint16_t port, Deadline deadline) {
    const std::string where = fmt::format("{}:{}", host, port);
    error_code is_name;
    if (const auto address = asio::ip::make_address(host, is_name); !is_name) {
        co_return Addresses::create(tcp::endpoint{address, port}, host, std::to_string(port));
    }
    const auto looking = std::make_shared<LookUp>(co_await asio::this_coro::executor);
    const GiveUp on_leaving{looking};
    begin(looking, host, std::to_string(port));
    while (!looking->outcome) {
        if (!co_await looking->arrived.wait(deadline) && !looking->outcome) {
            co_return fail(Errc::deadline_exceeded, "looking up " + where);
        }
    }
    auto& [problem, found] = *looking->outcome;
    if (problem) co_return fail(Errc::not_found, fmt::format("{}: {}", where, problem.message()));
    co_return std::move(found);
}

}  // namespace lovage::net::detail
