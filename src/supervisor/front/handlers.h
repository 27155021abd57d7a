/*
 * handlers.h - the functions that the routes name, by the file that has them.
 */
#pragma once

struct request;

/* api_functions.c */
void api_create_function(struct request *request);
void api_get_function(struct request *request);
void api_get_configuration(struct request *request);
void api_list_functions(struct request *request);
void api_delete_function(struct request *request);

/* api_update.c */
void api_update_code(struct request *request);
void api_update_configuration(struct request *request);

/* api_settings.c */
void api_put_concurrency(struct request *request);
void api_get_concurrency(struct request *request);
void api_delete_concurrency(struct request *request);
void api_tag_resource(struct request *request);
void api_untag_resource(struct request *request);
void api_list_tags(struct request *request);
void api_account_settings(struct request *request);

/* api_url.c */
void api_create_url(struct request *request);
void api_get_url(struct request *request);
void api_update_url(struct request *request);
void api_delete_url(struct request *request);
void api_list_urls(struct request *request);

/* invoke.c, stream.c, url.c */
void invoke_handle(struct request *request);
void stream_handle(struct request *request);
void url_handle(struct request *request);

/* views.c */
void view_health(struct request *request);
void view_metrics(struct request *request);
void view_runtimes(struct request *request);
void view_stats(struct request *request);
void view_logs(struct request *request);
