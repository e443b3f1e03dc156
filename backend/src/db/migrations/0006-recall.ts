import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Recall without any other service: an inverted index of every chat's words. `embeddings` is the
 * ledger of what is indexed: its rows come with their messages, in the same transaction, by
 * triggers; the index is written later, in batches (`index_memories`), so that no turn pays for it.
 */
export async function up(db: Kysely<never>): Promise<void> {
  // A chat's postings stand together, so a search never reads another chat's. The key is a hash:
  // whatever is found is checked against the chat's sessions before it is shown.
  await sql`
    create table recall_postings (
      chat_key bigint not null,
      term text collate "C" not null,
      embedding_id bigint not null references embeddings on delete cascade,
      frequency smallint not null,
      length smallint not null
    )`.execute(db);
  await sql`create unique index recall_postings_term
    on recall_postings (chat_key, term, embedding_id) include (frequency, length)`.execute(db);
  await sql`create index recall_postings_embedding on recall_postings (embedding_id)`.execute(db);
  await sql`create index embeddings_unindexed on embeddings (id) where terms is null`.execute(db);
  await sql`comment on table recall_postings is
    'which words (stems) stand in which row of embeddings; the empty word stands in each'`.execute(
    db,
  );

  await createLedgerTriggers(db);
  await createIndexer(db);
  await createSearch(db);
}

async function createLedgerTriggers(db: Kysely<never>): Promise<void> {
  await sql`
    create function enter_new_messages() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      if current_setting('llm_bot_core.turn_message', true) = 'on' then
        return null;
      end if;
      insert into embeddings (session_id, message_id, role, created_at)
        select session_id, id, role, created_at from new_messages
          where role in ('user', 'assistant');
      return null;
    end $$`.execute(db);
  await sql`create trigger messages_enter_new after insert on messages
    referencing new table as new_messages
    for each statement execute function enter_new_messages()`.execute(db);

  // The row stays, with what an operator made of its importance; its words are read again.
  await sql`
    create function enter_edited_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    declare
      v_first bigint;
    begin
      select min(id) into v_first from embeddings where message_id = new.id;
      delete from embeddings where message_id = new.id
        and (id > v_first or new.role not in ('user', 'assistant'));
      update embeddings set content = null, terms = null, role = new.role,
          created_at = new.created_at, state = 'pending', error = null, claimed_until = null
        where id = v_first;
      if v_first is null and new.role in ('user', 'assistant') then
        insert into embeddings (session_id, message_id, role, created_at)
          values (new.session_id, new.id, new.role, new.created_at);
      end if;
      return null;
    end $$`.execute(db);
  await sql`create trigger messages_enter_edited
    after update of content, role, created_at on messages
    for each row when (new.content <> old.content or new.role <> old.role
      or new.created_at <> old.created_at)
    execute function enter_edited_message()`.execute(db);

  // The sentences of a session's latest summary; those of earlier versions are superseded.
  await sql`
    create function enter_summary() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    declare
      v_session_id uuid := coalesce(new.session_id, old.session_id);
    begin
      perform from chat_sessions where id = v_session_id for no key update;
      delete from embeddings where session_id = v_session_id and summary_id is not null;
      insert into embeddings (session_id, summary_id, role, content, created_at)
        select v_session_id, latest.id, 'system', sentence, latest.created_at
          from (select id, content, created_at from conversation_summaries
              where session_id = v_session_id order by version desc limit 1) as latest,
            lateral regexp_split_to_table(latest.content, '(?<=[.!?…])\\s+|\\s*\\n\\s*') as sentence
          where sentence ~ '\\w';
      return null;
    end $$`.execute(db);
  await sql`create trigger conversation_summaries_enter
    after insert or delete or update of content on conversation_summaries
    for each row execute function enter_summary()`.execute(db);
}

async function createIndexer(db: Kysely<never>): Promise<void> {
  // Words: Latin letters by their English stem, Cyrillic by their Russian one, others as they are;
  // scripts without spaces between words, by pairs of neighbouring signs. ASCII punctuation always
  // parts words: PostgreSQL's parser would take "tea/coffee" for a path.
  await sql`
    create function recall_terms(p_text text) returns table (term text, frequency integer)
      immutable parallel safe language plpgsql as $$
    declare
      v_text text := translate(lower(normalize(p_text, nfkc)),
        '!"#$%&()*+,-./:;<=>?@[\\]^_{|}~''ёàáâãäåçèéêëìíîïñòóôõöùúûüýÿ',
        '                               еaaaaaaceeeeiiiinooooouuuuyy');
      v_unspaced text := '[\\u0e00-\\u0eff\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af]+';
    begin
      if v_text ~ v_unspaced then
        return query select substr(run[1], place, 2), count(*)::integer
          from regexp_matches(v_text, v_unspaced, 'g') as run,
            generate_series(1, greatest(1, length(run[1]) - 1)) as place
          group by 1;
        v_text := regexp_replace(v_text, v_unspaced, ' ', 'g');
      end if;
      return query select lexeme, cardinality(positions)
        from unnest(to_tsvector('pg_catalog.russian', v_text));
    end $$`.execute(db);

  await sql`
    create function recall_date(p_time timestamptz) returns text
      immutable parallel safe language sql as $$
      select to_char(p_time at time zone 'utc', 'FMDD FMMonth YYYY ')
        || (array['января', 'февраля', 'марта', 'апреля', 'мая', 'июня', 'июля', 'августа',
          'сентября', 'октября', 'ноября', 'декабря'])
          [extract(month from p_time at time zone 'utc')::integer]
    $$`.execute(db);

  // A short text whole, a long one in passages of whole sentences (which are cut where they are
  // too long themselves): what is quoted in a prompt should be what was asked for.
  await sql`
    create function recall_passages(p_text text) returns table (place bigint, passage text)
      immutable parallel safe language sql as $$
      select 0, p_text where length(p_text) <= 1500
      union all
      select last / 1200, string_agg(piece, ' ' order by last) from (
        select piece, sum(length(piece) + 1) over (order by line, start) as last
          from regexp_split_to_table(p_text, '(?<=[.!?…])\\s+|\\s*\\n\\s*')
              with ordinality as sentences (sentence, line),
            generate_series(0, length(sentence) / 1000) as start,
            substr(sentence, start * 1000 + 1, 1000) as piece
          where length(p_text) > 1500 and piece <> ''
      ) as pieces group by last / 1200
    $$`.execute(db);

  // Takes up to p_limit rows of the ledger that are not indexed yet and that no other worker
  // holds, and indexes them; with p_with_vectors they then wait for their vectors. Returns how many
  // it took. Every writer of postings holds the lock on the ledger's row, so an edit or a deletion
  // comes before or after, never between.
  await sql`
    create function index_memories(p_limit integer, p_with_vectors boolean)
      returns integer language plpgsql as $$
    declare
      v_ids bigint[];
      v_ready bigint[];
    begin
      v_ids := array(select id from embeddings where terms is null
        order by id limit p_limit for update skip locked);
      if v_ids = '{}' then
        return 0;
      end if;
      delete from recall_postings where embedding_id = any (v_ids);

      -- A row is updated once in a transaction: a second time PostgreSQL looks up its session and
      -- message again, and would wait for who deletes those while he waits for us. So a message
      -- gets its passages now and its words in the next batch.
      v_ready := array(select id from embeddings where id = any (v_ids) and content is not null);

      -- A further passage refers to its message and session. Who deletes those waits for our rows:
      -- so theirs are not waited for, but left for later.
      with long_texts as materialized (
        select e.id, m.content from embeddings e
            join messages m on m.id = e.message_id join chat_sessions s on s.id = e.session_id
          where e.id = any (v_ids) and e.content is null and length(m.content) > 1500
          for key share of m, s skip locked
      ), texts as (
        select * from long_texts
        union all
        select e.id, m.content from embeddings e join messages m on m.id = e.message_id
          where e.id = any (v_ids) and e.content is null and length(m.content) <= 1500
      ), passages as (
        select t.id, p.passage, row_number() over (partition by t.id order by p.place) as place
          from texts t, lateral recall_passages(t.content) as p
      ), first as (
        update embeddings e set content = p.passage from passages p
          where e.id = p.id and p.place = 1
      )
      insert into embeddings (session_id, message_id, role, content, importance, created_at)
        select e.session_id, e.message_id, e.role, p.passage, e.importance, e.created_at
          from passages p join embeddings e on e.id = p.id
          where p.place > 1 order by p.id, p.place;

      -- Beside its own words each has its speaker's role and its date, and the empty word, by
      -- which a chat's memories are counted. The offline model's replies only quote others.
      with documents as (
        select e.id, hashtextextended(s.chat_id, 0) as chat_key, e.role, e.created_at, t.*
          from embeddings e join chat_sessions s on s.id = e.session_id,
            lateral (select array_agg(term) as terms, array_agg(frequency) as frequencies,
              least(coalesce(sum(frequency), 0), 32000) as length from recall_terms(e.content)) as t
          where e.id = any (v_ready)
            and not (e.role = 'assistant' and e.content like '[offline]%')
      ), written as (
        insert into recall_postings (chat_key, term, embedding_id, frequency, length)
          select chat_key, term, id, max(least(frequency, 32000)), length
            from documents, lateral (
              select * from unnest(terms, frequencies) as own (term, frequency)
              union all select '', 1
              union all select term, 1 from recall_terms(role || ' ' || recall_date(created_at))
            ) as t
            group by chat_key, term, id, length
      )
      update embeddings e set terms = coalesce(d.length, 0), error = null,
          state = case when p_with_vectors and (d.length > 0 or e.model is not null)
            then 'pending' else 'indexed' end
        from unnest(v_ready) as claimed (id) left join documents d on d.id = claimed.id
        where e.id = claimed.id;
      return cardinality(v_ids);
    end $$`.execute(db);
}

async function createSearch(db: Kysely<never>): Promise<void> {
  // Words that ask and say nothing about what for; PostgreSQL's own lists hold the commonest.
  await sql`
    create function recall_query_terms(p_query text) returns table (term text)
      immutable parallel safe language sql as $$
      select term from recall_terms(left(p_query, 4000))
        where term <> all (array['actual', 'also', 'anyth', 'ask', 'come', 'could', 'ever', 'exact',
          'get', 'go', 'got', 'kind', 'know', 'let', 'like', 'long', 'make', 'mani', 'mean',
          'mention', 'might', 'much', 'must', 'need', 'often', 'old', 'pleas', 'recal', 'rememb',
          'remind', 'said', 'say', 'shall', 'someon', 'someth', 'sort', 'still', 'talk', 'tell',
          'thing', 'think', 'type', 'want', 'would', 'ваш', 'вообщ', 'говор', 'ещ', 'знаеш',
          'знат', 'зовут', 'имен', 'кажет', 'как', 'каков', 'кем', 'ког', 'ком', 'котор',
          'называ', 'нам', 'напомн', 'наш', 'очен', 'пожалуйст', 'помн', 'прост', 'расскаж',
          'сво', 'скаж', 'сказа', 'скольк', 'такж', 'тво', 'упомина', 'че', 'чем', 'чье', 'чья'])
        order by length(term) desc, term limit 32
    $$`.execute(db);

  // Where the words of a query stand: one row a word and chat, and one for the words that differ
  // from it in their last two letters, which say half as much. Of each the newest 200 postings are
  // read; where there are more, their number is extrapolated from how densely those stand. So it
  // costs the same in a chat of any length. weight is the BM25 weight of the word.
  // Here and below: planning costs more than running, and the plan must be the one by the indexes
  // also right after an import, when the statistics know nothing of it.
  await sql`
    create function recall_lists(p_chat_keys bigint[], p_query text)
      returns table (term text, weight double precision, documents double precision,
        average double precision, likeness double precision, ids bigint[],
        frequencies smallint[], lengths smallint[])
      stable language plpgsql set plan_cache_mode = force_generic_plan
      set enable_bitmapscan = off set enable_seqscan = off as $$
    #variable_conflict use_column
    begin
      return query with words as materialized (
        select term from recall_query_terms(p_query)
      ), asked as (
        select term, 1::double precision as likeness from words
        union all select term, 0.5 from words where length(term) >= 5
        union all select '', 1
      ), lists as materialized (
        select a.term, a.likeness, key, l.* from unnest(p_chat_keys) as key, asked a, lateral (
          select count(*)::double precision as read, min(embedding_id) as oldest,
              array_agg(embedding_id) as ids, array_agg(frequency) as frequencies,
              array_agg(length) as lengths
            from (
              (select embedding_id, frequency, length from recall_postings
                where a.likeness = 1 and chat_key = key and term = a.term
                order by embedding_id desc limit 200)
              union all
              (select embedding_id, frequency, length from (
                  (select * from recall_postings
                    where a.likeness < 1 and chat_key = key and term < a.term
                      and term >= left(a.term, greatest(5, length(a.term) - 2)) limit 50)
                  union all
                  (select * from recall_postings
                    where a.likeness < 1 and chat_key = key and term > a.term
                      and term < left(a.term, greatest(5, length(a.term) - 2)) || chr(1114111)
                    limit 50)
                ) as similar_terms
                where length(term) between length(a.term) - 2 and length(a.term) + 2)
            ) as postings
        ) as l
      ), chats as materialized (
        select key, ids[1] as newest, lengths, (select embedding_id from recall_postings
            where chat_key = key and term = '' order by embedding_id limit 1) as oldest
          from lists where term = ''
      ), counts as materialized (
        select l.term, sum(l.read * case when l.read < 200 then 1 else
            greatest(1, (c.newest - c.oldest)::double precision / greatest(1, c.newest - l.oldest)) end) as documents
          from lists l join chats c using (key) group by l.term
      ), whole as materialized (
        select documents, (select avg(length) from chats, unnest(lengths) as length)::double precision as average
          from counts where term = ''
      )
      select l.term, ln(1 + (greatest(0, w.documents - c.documents) + 0.5) / (c.documents + 0.5)),
          w.documents, w.average, l.likeness, l.ids, l.frequencies, l.lengths
        from lists l join counts c using (term) cross join whole w
        where l.term <> '' and w.documents > 0;
    end $$`.execute(db);

  // A row of the ledger, where a search may show it: what its scope holds, and what an operator has
  // not set to 0. p_session_id, p_window_from: leaves out what stands in a prompt already.
  await sql`
    create function recallable(
      p_id bigint, p_chat_id text, p_user_id text, p_session_id uuid, p_window_from bigint,
      p_query text, p_scope text
    ) returns setof embeddings stable language sql as $$
      select e.* from embeddings e join chat_sessions s on s.id = e.session_id
        where e.id = p_id and e.terms is not null and e.importance > 0
          and case p_scope when 'session' then s.id = p_session_id
            when 'user' then s.chat_id = p_chat_id or s.user_id = p_user_id
            else s.chat_id = p_chat_id end
          and (e.session_id = p_session_id
            and (e.summary_id is not null or e.message_id >= p_window_from)) is not true
          and lower(e.content) <> lower(p_query)
          and not exists (select from turns t
            where t.user_message_id = e.message_id and t.state not in ('answered', 'silenced'))
    $$`.execute(db);

  // A question tells less than a statement.
  await sql`
    create function recall_weight(p_content text) returns double precision
      immutable parallel safe language sql as $$
      select case when right(rtrim(p_content), 1) in ('?', '？') then 0.6 else 1 end
    $$`.execute(db);

  await sql`
    create function memory_as_json(p_memory embeddings, p_score double precision) returns json
      stable language sql as $$
      select json_build_object(
        'memory_id', p_memory.id::text,
        'source', case when p_memory.summary_id is null then 'message' else 'summary' end,
        'message_id', p_memory.message_id::text, 'session_id', p_memory.session_id,
        'role', p_memory.role, 'score', round(p_score::numeric, 3),
        'created_at', to_char(p_memory.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'content', p_memory.content)
    $$`.execute(db);

  // The memories that say most about a query, best first. A memory is judged with its
  // surroundings: a share of what the two messages before and after it say, and of the best of its
  // session. Nothing is returned where no place covers enough of the query (its eight most telling
  // words): by chance a long chat covers more than a short one. score: 1 is about as much as a
  // memory could say.
  await sql`
    create function search_memories(
      p_chat_id text, p_user_id text, p_session_id uuid, p_window_from bigint,
      p_query text, p_scope text, p_limit integer
    ) returns json stable language plpgsql set plan_cache_mode = force_generic_plan
      set enable_bitmapscan = off set enable_seqscan = off as $$
    declare
      v_shown bigint[] := array(select id from embeddings
        where session_id = p_session_id and message_id >= p_window_from);
      v_chat_keys bigint[] := array[hashtextextended(p_chat_id, 0)];
    begin
      if p_scope = 'user' then
        v_chat_keys := v_chat_keys || array(select hashtextextended(chat_id, 0) from (
          select chat_id, max(created_at) as newest from chat_sessions
            where user_id = p_user_id and chat_id <> p_chat_id
            group by chat_id order by newest desc limit 20) as others);
      end if;

      return (
      with lists as materialized (
        select * from recall_lists(v_chat_keys, p_query)
      ), whole as materialized (
        select sum(weight) as weight, least(0.4, ln(max(documents)) / 16) as floor from (
          select weight, documents from lists
            group by term, weight, documents order by weight desc limit 8) as telling
      ), own as materialized (
        select id, sum(weight * likeness * frequency * 2.2::double precision / (frequency
              + 0.6::double precision * (1 + length / greatest(1, average)))) as score
          from lists, unnest(ids, frequencies, lengths) as posting (id, frequency, length)
          group by id order by 2 desc, 1 desc limit 24 + cardinality(v_shown)
      ), found as materialized (
        select o.score, e.id, e.session_id, e.message_id, e.importance
          from own o join embeddings e on e.id = o.id join chat_sessions s on s.id = e.session_id
          where e.importance > 0 and e.id <> all (v_shown) and case p_scope when 'session' then s.id = p_session_id
            when 'user' then s.chat_id = p_chat_id or s.user_id = p_user_id
            else s.chat_id = p_chat_id end
          order by o.score desc limit 24
      ), around as materialized (
        select id, id as source, 1::double precision as share from found
        union all
        select near.id, f.id, near.share from found f cross join lateral (
          (select id, 0.6::double precision ^ row_number() over (order by message_id) as share
            from embeddings where session_id = f.session_id and message_id > f.message_id
            order by message_id limit 2)
          union all
          (select id, 0.4::double precision ^ row_number() over (order by message_id desc)
            from embeddings where session_id = f.session_id and message_id < f.message_id
            order by message_id desc limit 2)
        ) as near
      ), evidence as materialized (
        select f.id, term, max(weight * likeness * f.importance) as cover
          from lists, unnest(ids) as posting (id) join found f using (id) group by 1, 2
      ), helps as materialized (
        select coalesce(max(cover), 0) >= (select weight * floor from whole) as enough from (
          select sum(cover) as cover from (
            select a.id, v.term, max(v.cover * a.share) as cover
              from around a join evidence v on v.id = a.source group by a.id, v.term
          ) as by_term group by id
        ) as by_place
      ), hits as materialized (
        select e as memory, e.importance, e.importance * (n.score + 0.1 * coalesce(b.score, 0))
              / w.weight * recall_weight(e.content) as score
          from (select a.id, sum(f.score * a.share) as score
              from around a join found f on f.id = a.source group by a.id) as n
            cross join lateral recallable(n.id, p_chat_id, p_user_id, p_session_id, p_window_from,
              p_query, p_scope) as e
            cross join whole w
            left join (select session_id, max(score) as score from found group by 1) as b
              on b.session_id = e.session_id
          where (select enough from helps)
      )
      select coalesce(json_agg(memory_as_json(memory, score)
          order by score desc, (memory).id desc), '[]')
        from (
          select * from hits where score >= 0.3 * (select max(score / importance) from hits)
            order by score desc, (memory).id desc limit p_limit
        ) as best);
    end $$`.execute(db);

  // What a turn recalls: its own message is the query, and what stands in its prompt is left out.
  // p_recall: scope, limit.
  await sql`
    create function recall_for_turn(
      p_session_id uuid, p_message_id bigint, p_window_from bigint, p_recall jsonb
    ) returns json stable language sql as $$
      select search_memories(s.chat_id, t.user_id, s.id, coalesce(p_window_from, m.id), m.content,
          p_recall->>'scope', (p_recall->>'limit')::integer)
        from messages m join chat_sessions s on s.id = m.session_id
          left join turns t on t.user_message_id = m.id
        where m.id = p_message_id
    $$`.execute(db);
}
