#include <lovage/http/test_client.hpp>

#include <exception>

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <lovage/core/error.hpp>
#include <lovage/http/exchange.hpp>
#include <lovage/http/wire/request_reader.hpp>

namespace lovage::http {

using Reader = wire::RequestReader;

struct TestClient::Impl {
    explicit Impl(Api& called) : api{called} {}

    Api& api;
    RequestIds ids;
    boost::asio::io_context loop{1};
};

TestClient::TestClient(Api& api) : impl_{std::make_unique<Impl>(api)} {
    api.freeze();
}
TestClient::~TestClient() = default;

TestClient::Reply TestClient::request(std::string_view method, std::string_view target,
                                      const Options& options) {
    auto bytes = fmt::format("{} {} HTTP/1.1\r\nHost: test\r\n", method, target);
    if (!options.body.empty()) {
        bytes += fmt::format("Content-Length: {}\r\n", options.body.size());
        if (!options.content_type.empty()) {
            bytes += fmt::format("Content-Type: {}\r\n", options.content_type);
        }
    }
    for (const auto& [name, value] : options.headers)
        bytes += fmt::format("{}: {}\r\n", name, value);
    Reader reader;
    reader.append(bytes + "\r\n" + options.body);

    Exchange exchange{impl_->api, impl_->ids};
    auto status = reader.next();
    if (status == Reader::Status::head) {
        exchange.open(reader.request(), "test");
        if (const auto limit = exchange.body_limit()) reader.set_body_limit(*limit);
        status = reader.next();
    }
    if (status != Reader::Status::request) {
        LOVAGE_ASSERT(status == Reader::Status::error);
        return {Response::error(reader.error().status, reader.error().detail), {}};
    }
    if (exchange.kind() == Handler::Kind::coroutine) {
        std::exception_ptr failure;
        boost::asio::co_spawn(impl_->loop, exchange.run_async(),
                              [&failure](const std::exception_ptr& error) { failure = error; });
        impl_->loop.restart();
        impl_->loop.run();
        if (failure) std::rethrow_exception(failure);
    } else {
        exchange.run();
    }
    exchange.close();
    return {exchange.response(), reader.request().id()};
}

Json TestClient::Reply::json() const {
    auto value = parse_json(body());
    LOVAGE_ASSERT(value.has_value());
    return *std::move(value);
}

}  // namespace lovage::http
