// SPDX-License-Identifier: MIT
//
// The same for C++, with its class. Included twice, and within what other headers do.
#include <lapmark.h>

#include <string>
#include <vector>

#include <lapmark.h>

extern int external(int value);

namespace
{

enum plain { red, green };
enum class scoped : unsigned char { one = 1 };

template <class T> T in_template(T value)
{
    LAP_PROFILE("template");
    LAP_MARK("value %d", static_cast<int>(value));
    return value;
}

struct member {
    lapmark::profiler profiler;
    explicit member(const std::string &name) : profiler(LAP_LABEL("member of %s", name.c_str())) {}
};

class user
{
  public:
    user() { LAP_PROFILE("constructor"); }
    ~user() { LAP_PROFILE("destructor"); }
    int call(int value) const noexcept
    {
        LAP_PROFILE("method %d", value);
        LAP_MARK();
        return value + count_;
    }
    static void every() { LAP_PROFILE("static"); }

  private:
    int count_ = 0;
};

} // namespace

int scopes(const std::string &name, const std::vector<int> &values);
int scopes(const std::string &name, const std::vector<int> &values)
{
    LAP_PROFILE("plain");
    LAP_PROFILE("%s of %zu", name.c_str(), values.size());
    for (const int value : values) {
        LAP_MARK("value %d", value);
        LAP_MARK_N(value, "sized");
        LAP_MARK_N(values.size(), );
    }
    LAP_MARK("%c %hhd %hhu %hd %hu %d %u", 'c', static_cast<signed char>(1), static_cast<unsigned char>(2),
             static_cast<short>(3), static_cast<unsigned short>(4), 5, 6u);
    LAP_MARK("%ld %lu %lld %llu %g %Lg", 1L, 2UL, 3LL, 4ULL, 0.5, 0.5L);
    LAP_MARK("%d %d %p %s", true, green, static_cast<const void *>(&name), "literal");
    LAP_MARK("%d", static_cast<int>(scoped::one));
    LAP_MARK_TEXT(name.c_str());
    LAP_MARK_TEXT_N(7, name.c_str());
    LAP_PROFILE_TEXT(name.c_str());
    LAP_PROFILE_TEXT_WITH(lapmark::options().n(5).get(), name.c_str());
    const auto lambda = [&](int value) {
        LAP_PROFILE("lambda");
        LAP_MARK("value %d", value);
        return value + external(value);
    };
    LAP_END();
    user::every();
    return lambda(1) + in_template(2) + static_cast<int>(in_template(0.5)) + user().call(3) +
           static_cast<int>(in_template(red)) + static_cast<int>(in_template(scoped::one));
}

uint64_t objects(const std::string &name, bool is_quiet);
uint64_t objects(const std::string &name, bool is_quiet)
{
    lapmark::profiler plain(LAP_LABEL("plain"));
    lapmark::profiler given(LAP_LABEL("%s", name.c_str()),
                            lapmark::options().threshold_ms(5).disabled(is_quiet).immediate().n(3).parent(0));
    lapmark::profiler text(LAP_LABEL_TEXT(name.c_str()), lapmark::options());
    given.mark(LAP_LABEL("m %d", 1));
    given.mark(LAP_LABEL_N(5, "sized %s", name.c_str()));
    given.mark(LAP_LABEL_TEXT(name.c_str()));
    given.end();
    const member with(name);
    return plain.elapsed_ns() + with.profiler.elapsed_ns() + LAP_ELAPSED_NS();
}

uint64_t handles(const char *name, lap_handle parent);
uint64_t handles(const char *name, lap_handle parent)
{
    const lap_handle handle = lap_begin("handle of %s", name);
    const lap_handle child = lap_begin_with(lapmark::options().parent(parent).get(), "child");
    const lap_handle text = lap_begin_text(lap_options{}, name);
    uint64_t sum = lap_mark(handle, "m %d", 1) + lap_mark_n(child, 4, "sized") + lap_mark_text(text, name);
    sum += lap_elapsed_ns(handle) + lap_end(handle) + lap_end(child) + lap_end(text);
    return sum;
}

int functions(int fd);
int functions(int fd)
{
    int error = lap_set("glob");
    error |= lap_record_start("directory");
    error |= lap_record_stop();
    error |= lap_snapshot("directory", 500);
    lap_flush();
    lap_thread_name("name");
    lap_sink_fd(fd);
    lap_sink_function([](const char *, uint64_t, void *) {}, nullptr);
    return error + static_cast<int>(*lap_error_text(error));
}

int contexts(char *const *environment);
int contexts(char *const *environment)
{
    lap_context context;
    const char *tracestate;
    char text[LAP_TRACEPARENT_BYTES];
    uint8_t data[LAP_GRPC_TRACE_BIN_BYTES];
    if (lap_context_from_environment(&context, &tracestate) != 0)
        context = lap_context_new();
    const lap_context before = lap_context_set(lap_context_child(context));
    int error = lap_traceparent_read(&context, text, lap_traceparent_write(text, &before));
    error |= lap_grpc_trace_bin_read(&context, data, lap_grpc_trace_bin_write(data, &context));
    char **const made = lap_context_environment(environment, &context, tracestate);
    context = lap_context_current();
    return error | lap_context_is_valid(&context) | lap_tracestate_is_sound("a=b", 3) | (made != nullptr);
}

int calls(const void *trailer, uint64_t bytes, lap_handle handle, const char *peer);
int calls(const void *trailer, uint64_t bytes, lap_handle handle, const char *peer)
{
    lap_call plain, with;
    lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_share(LAP_SHARE_DOMAIN);
    lap_accept(LAP_ACCEPT_SLOW);
    int error = lap_serve_begin(&serve, trailer, bytes, lap_now(), "serve");
    error |= lap_serve_begin(&serve, nullptr, 0, 0, "serve %s, %d", peer, error);
    error |= lap_serve_begin_with(&serve, lapmark::options().threshold_ms(5).get(), trailer, bytes, 0, "serve %d", error);
    if (error)
        lap_call_begin(&plain, "call");
    else
        lap_call_begin_with(&plain, LAP_CALL_OPTS(), "call");
    lap_call_options made = LAP_CALL_OPTS();
    made.handle = handle;
    made.parent = &serve.context;
    lap_call_wish(&plain, LAP_WISH_ON, 1.5);
    lap_call_begin_with(&with, made, "made before");
    error |= lap_serve_reply(&serve, reply) != LAP_TRAILER_BYTES;
    (void)lap_serve_reply(&serve, reply);
    error |= lap_serve_reply_notes(&serve, reply, sizeof reply) < LAP_TRAILER_BYTES;
    error |= lap_call_end(&plain, reply, sizeof reply);
    (void)lap_call_end(&with, nullptr, 0);
    error |= lap_call_part(&with, reply, sizeof reply);
    error |= lap_call_sent(&with) | lap_serve_parent(&serve, &plain.context);
    const lap_context own = lap_handle_context(handle);
    lap_link(handle, &own);
    lap_mark(serve.handle, "replied");
    lap_end(serve.handle);
    return error | static_cast<int>(plain.split.flags & LAP_SPLIT_SERVER);
}

#if __cplusplus >= 202002L
int designated(lap_handle parent);
int designated(lap_handle parent)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 5, .n = 3, .parent = parent), "designated");
    LAP_PROFILE_WITH(LAP_OPTS(), "none");
    const lap_handle handle = lap_begin_with(LAP_OPTS(.immediate = true), "handle");
    lap_call call;
    lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = handle), "call");
    (void)lap_call_end(&call, nullptr, 0);
    return static_cast<int>(lap_end(handle));
}
#endif
