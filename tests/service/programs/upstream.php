<?php
// An upstream on PHP's own server, for tests/service/gateway/test_real_upstreams.py: answers with what PHP read of the request.
$raw = file_get_contents('php://input');
$body = json_decode($raw, true);
header('Content-Type: application/json');
echo json_encode(
    ['query' => $_GET, 'form' => $_POST, 'body' => $body],
    JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_FORCE_OBJECT
);
